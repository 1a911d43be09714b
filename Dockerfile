# The three programs in an image that holds nothing else, out of bin/, which
# `make docker` fills: no registry is asked for anything.
#
#   docker run ddm /peerd --insecure --tracker BOX:7420
FROM scratch

# Roots for https origins, copied from the machine that built the image.
COPY bin/docker/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# scratch has no curl: this asks for /healthz.
COPY bin/docker/healthcheck /healthcheck
COPY bin/tracker bin/peerd bin/ddm-client /
# An empty folder of the user's own: state of the servers, downloads of the client.
COPY --chown=65532:65532 bin/docker/home/ /home/ddm/

USER 65532:65532
ENV HOME=/home/ddm
WORKDIR /home/ddm
CMD ["/ddm-client", "--help"]
