# The image of model-exporter. The base needs nothing but Python >= 3.11 with venv, at the same path in both stages:
#     docker build -t model-exporter .
#     docker build -t model-exporter --build-arg BASE_IMAGE=registry.example/python:3.13-slim .
#     docker build -t model-exporter --build-arg EXTRAS=fast,grpc,oauth2,aws,schema,otlp .
ARG BASE_IMAGE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG EXTRAS=fast,grpc
WORKDIR /src
RUN python3 -m venv /opt/model-exporter
ENV PATH=/opt/model-exporter/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Dependencies first: they change less often than the code.
COPY constraints.txt ./
COPY pyproject.toml README.md LICENSE ./
COPY exporter ./exporter
RUN PIP_CONSTRAINT=constraints.txt pip install hatchling \
 && pip wheel --no-build-isolation --no-deps --wheel-dir /tmp/wheel . \
 && python3 -m venv --clear /opt/model-exporter \
 && wheel=$(ls /tmp/wheel/*.whl) \
 && pip install --constraint constraints.txt "${wheel}[${EXTRAS}]" \
 && pip check \
 && pip uninstall --yes pip

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="model-exporter" \
      org.opencontainers.image.description="Watches model-serving endpoints from the outside and tells Prometheus" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/model-exporter /opt/model-exporter
ENV PATH=/opt/model-exporter/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Numeric, so that Kubernetes can see that it is not root. Nothing is written anywhere.
USER 65532:65532
EXPOSE 10838
ENTRYPOINT ["model-exporter"]
CMD ["run", "--config", "/etc/model-exporter/config.yaml"]
