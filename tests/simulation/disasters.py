"""What no worker does to the world, and no request."""

from tests.simulation.world import RESTART_SECONDS, World


def expire_uploads(world: World, shard_id: str) -> None:
    """What the bucket's lifecycle rule does, much too early, to the uploads of one shard."""
    for upload in list(world.store.uploads.values()):
        if shard_id in upload.key:
            del world.store._uploads[upload.upload_id]
    world.watch.forget_uploads()


def restore(world: World, choice: int) -> None:
    """All workers die; the control table is put back to an earlier state; workers are started again by and by."""
    _kill_all(world)
    while world.carrier.busy:
        world.advance(RESTART_SECONDS)
        _kill_all(world)
    world.say("the control table is restored")
    del world.history[choice % len(world.history) + 1 :]  # what came after is no state of this table any more
    world.leases._rows = dict(world.history[-1])
    world.watch.restored()


def _kill_all(world: World) -> None:
    for worker in world.workers:
        worker.crash()
