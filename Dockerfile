# The README's steps in a container; no test builds it.
#   docker build -t rher_pl . && docker run -v "$PWD/mlruns:/rher_pl/mlruns" rher_pl
FROM python:3.12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends make g++ libegl1 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /rher_pl
COPY . .
RUN make setup
CMD ["make", "push"]
