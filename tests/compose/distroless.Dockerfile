# Stands in for the distroless image that ours begins with: as that, it knows whom to trust.
FROM docker.io/library/debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates
