# docker build -t crossrec .                                    for processors
# docker build --build-arg TORCH_INDEX=https://pypi.org/simple -t crossrec .   for GPUs (--gpus all)
# docker run --rm -v "$PWD:/work" crossrec crossrec.train +experiment=home_to_electronics
FROM python:3.11-slim
# The index decides which build of torch it is: PyPI's brings CUDA, this one does not.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /crossrec
COPY requirements.lock ./
RUN python -m pip install --no-cache-dir --index-url "$TORCH_INDEX" "$(grep ^torch== requirements.lock)"
RUN python -m pip install --no-cache-dir -r requirements.lock
COPY pyproject.toml README.md ./
COPY crossrec ./crossrec
COPY conf ./conf
COPY sweeps ./sweeps
RUN python -m pip install --no-cache-dir --no-deps -e .
# data/, artifacts/ and runs/ are made here, in the folder that is mounted.
WORKDIR /work
ENTRYPOINT ["python", "-m"]
CMD ["crossrec.train", "--help"]
