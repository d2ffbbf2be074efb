# docker build -t crossrec .                          for processors
# docker build --build-arg BUILD=cuda -t crossrec .   for GPUs: docker run --gpus all ...
# docker run --rm -v "$PWD:/work" crossrec crossrec.train +experiment=home_to_electronics
FROM python:3.11-slim
ARG BUILD=cpu
WORKDIR /crossrec
COPY requirements.lock ./
# torch for processors has an index of its own; PyPI's brings CUDA.
RUN if [ "$BUILD" = cpu ]; then export PIP_EXTRA_INDEX_URL="https://download.pytorch.org/whl/cpu $PIP_EXTRA_INDEX_URL"; fi; \
    python -m pip install --no-cache-dir -r requirements.lock
COPY pyproject.toml README.md ./
COPY crossrec ./crossrec
COPY conf ./conf
COPY sweeps ./sweeps
RUN python -m pip install --no-cache-dir --no-deps -e .
# data/, artifacts/ and runs/ are made here, in the folder that is mounted.
WORKDIR /work
ENTRYPOINT ["python", "-m"]
CMD ["crossrec.train", "--help"]
