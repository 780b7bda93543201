# The image of model-exporter; docs/image.md says what is in it and how it is run.
#     docker build -t model-exporter .
#     docker build -t model-exporter --build-arg BASE_IMAGE=registry.example/python:3.13-slim .
#     docker build -t model-exporter --build-arg EXTRAS=fast,grpc,dns,web,oauth2,aws,schema,otlp .
# The base needs nothing but Python >= 3.11. What builds needs venv too, and the same Python at the same path.
ARG BASE_IMAGE=docker.io/library/python:3.13-slim-bookworm
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM ${BUILD_IMAGE} AS build
ARG EXTRAS=fast,grpc,dns,web
ARG PIP_INDEX_URL=https://pypi.org/simple
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/model-exporter
# Everything that is downloaded has the hash of its pin, and is a wheel: nothing foreign runs while it is installed. All
# pins are, those of development too: which of them the exporter needs is found below, where nothing is downloaded.
COPY constraints.txt ./
RUN /build/bin/pip download --quiet --require-hashes --no-deps --only-binary :all: -r constraints.txt -d /wheels
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
RUN /build/bin/pip install --quiet hatchling
COPY pyproject.toml README.md LICENSE ./
COPY exporter ./exporter
RUN /build/bin/pip wheel --quiet --no-build-isolation --no-deps --wheel-dir /wheels . \
 && /build/bin/pip --python /opt/model-exporter/bin/python install --quiet "model-exporter[${EXTRAS}]" \
 && /build/bin/pip --python /opt/model-exporter/bin/python check

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="model-exporter" \
      org.opencontainers.image.description="Watches model-serving endpoints from the outside and tells Prometheus" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.url="https://github.com/model-exporter/model-exporter" \
      org.opencontainers.image.source="https://github.com/model-exporter/model-exporter" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /opt/model-exporter /opt/model-exporter
ENV PATH=/opt/model-exporter/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Numeric, so that Kubernetes can see that it is not root. Nothing is written anywhere.
USER 65532:65532
EXPOSE 10838
ENTRYPOINT ["model-exporter"]
CMD ["run", "--config", "/etc/model-exporter/config.yaml"]
