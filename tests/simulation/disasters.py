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
    _end_all(world)
    world.say("the control table is restored")
    del world.history[choice % len(world.history) + 1 :]  # what came after is no state of this table any more
    world.leases._rows = dict(world.history[-1])
    world.watch.restored()


def lapse(world: World) -> None:
    """All workers die, and are started again when the stream has forgotten everything that it held.

    Not on top of a restore that nobody has mended yet: that is more than the protocol promises to survive.
    """
    _end_all(world)
    if not world.watch.up_to_date:
        return
    count, world.desired = world.desired, 0
    world.say("nobody reads the stream until it has forgotten everything")
    for shard_id in world.archive.shards:
        world.archive.lose(shard_id, world.watch.decided(shard_id))
    world.history[:] = [dict(world.leases._rows)]  # an older table would not know what it lost
    world.traffic.forget()
    world.advance(world.stream_info.retention_seconds + 1.0)
    for _ in range(count):
        world.start()


def _end_all(world: World) -> None:
    """Until nothing of theirs is under way."""
    _kill_all(world)
    while world.carrier.busy:
        world.advance(RESTART_SECONDS)
        _kill_all(world)


def _kill_all(world: World) -> None:
    for worker in world.workers:
        worker.crash()
