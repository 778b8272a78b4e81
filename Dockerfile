# An image with the command `batteryscope` (docs/install.md). In a clone:
#   rm -rf dist && uv build --wheel && docker build --tag batteryscope .
#   docker run --rm -it --hostname batteryscope --shm-size 2g --user "$(id -u):$(id -g)" --volume "$PWD:/project" batteryscope run
# The steps are those of batteryscope.def; `make test-container` runs them on a bare Debian.
FROM debian:bookworm-slim

RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates git make python3 python3-venv && rm -rf /var/lib/apt/lists/*

# The number that --user gives has neither a name nor a home.
ENV LANG=C.UTF-8 HOME=/tmp USER=battery PATH=/opt/batteryscope/bin:$PATH

COPY requirements.lock dist/*.whl /opt/install/

RUN python3 -m venv /opt/batteryscope
RUN /opt/batteryscope/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement /opt/install/requirements.lock
RUN /opt/batteryscope/bin/pip install --no-cache-dir --no-deps --no-index /opt/install/*.whl

# Anyone may run it; files of a mounted folder belong to whom --user names.
USER 1000:1000
WORKDIR /project
ENTRYPOINT ["batteryscope"]
CMD ["--help"]
