# Every image of Headrace. One service an image, told by its name:
#
#   docker build --build-arg SERVICE=transformer --tag headrace/transformer .
#
# SERVICE is api-consumer, transformer, partitioner or stats-api. `--target jobs` is every job of `headrace job` instead,
# `--target local` the local cloud.
ARG PYTHON=python:3.13-slim-trixie

FROM ${PYTHON} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

# What is only needed to build: pip, the locks, the whole tree.
FROM base AS build
RUN python -m venv --without-pip /opt/venv
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

FROM build AS service-packages
ARG SERVICE
RUN --mount=type=bind,source=requirements,target=requirements --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --quiet --require-hashes --only-binary :all: --requirement "requirements/${SERVICE:?}.txt"

FROM build AS service-code
ARG SERVICE
COPY libs/headrace /app/headrace
COPY services/ services/
# `python /app` runs the one service that is in there: its __main__ becomes the application's.
RUN package="$(echo "${SERVICE:?}" | tr - _)" \
    && mkdir /app/services \
    && mv services/__init__.py "services/$package" /app/services/ \
    && cp "/app/services/$package/__main__.py" /app/ \
    && python -m compileall -q /app

FROM build AS jobs-packages
RUN --mount=type=bind,source=requirements,target=requirements --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --quiet --require-hashes --only-binary :all: --requirement requirements/jobs.txt

FROM build AS jobs-code
COPY libs/headrace /app/headrace
COPY jobs/ /app/jobs/
COPY cli/ /app/cli/
# What the command line asks whether a local cloud runs; the cloud itself is not in there.
COPY deploy/__init__.py /app/deploy/
COPY deploy/local/__init__.py deploy/local/child.py deploy/local/emulator.py /app/deploy/local/
RUN python -m compileall -q /app

FROM build AS local-packages
RUN --mount=type=bind,source=requirements,target=requirements --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --quiet --require-hashes --only-binary :all: --requirement requirements/local.txt

FROM build AS local-code
COPY libs/headrace /app/headrace
COPY services/ /app/services/
COPY jobs/ /app/jobs/
COPY deploy/ /app/deploy/
COPY cli/ /app/cli/
# What `headrace cost` calculates with.
COPY bench/results.json /app/bench/
RUN python -m compileall -q /app

FROM base AS runtime
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp HEADRACE_HOST=0.0.0.0 HEADRACE_LOG_FORMAT=json
# Memory is given back as it comes (cli/plan.py, ALLOCATOR, has the figures).
ENV ARROW_DEFAULT_MEMORY_POOL=system MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072
WORKDIR /app
STOPSIGNAL SIGTERM
# Fargate gives a volume that it mounts here to root alone, unless the image has one: then it keeps the image's rights.
VOLUME /tmp

# The local cloud: emulator, Athena endpoint, simulator and the command line. Not for production.
FROM runtime AS local
COPY --from=local-packages /opt/venv /opt/venv
COPY --from=local-code /app /app
RUN install --directory --owner=10001 --group=10001 /data
USER 10001:10001
ENTRYPOINT ["python", "-m"]
CMD ["cli", "--help"]

# One job, told by its arguments: `docker run headrace/jobs job medallion --source events`.
FROM runtime AS jobs
COPY --from=jobs-packages /opt/venv /opt/venv
COPY --from=jobs-code /app /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "cli"]
CMD ["job", "--help"]

# The default: one service. The process is the container's first, so SIGTERM reaches it and drains.
FROM runtime AS service
COPY --from=service-packages /opt/venv /opt/venv
COPY --from=service-code /app /app
USER 10001:10001
ENTRYPOINT ["python", "/app"]
