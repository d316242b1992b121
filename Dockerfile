# The web UI.
FROM node:24-slim AS ui
WORKDIR /build/static
COPY static/package.json static/package-lock.json static/.npmrc ./
RUN npm ci --no-fund --no-audit
COPY static ./
RUN npm run build

# The dependencies, each pinned by hash.
FROM python:3.11-slim AS dependencies
COPY requirements.lock /build/
RUN python -m venv /srv/darkroom/.venv \
 && /srv/darkroom/.venv/bin/pip install --no-cache-dir --no-compile --require-hashes -r /build/requirements.lock

# What runs: an unprivileged user, who may write to the data volume only.
FROM python:3.11-slim
RUN useradd --uid 1000 --user-group --home-dir /data --create-home --shell /usr/sbin/nologin darkroom
WORKDIR /srv/darkroom
COPY --from=dependencies /srv/darkroom/.venv .venv
COPY LICENSE pyproject.toml ./
COPY migrations migrations
COPY service service
COPY --from=ui /build/static/dist static/dist
ENV PATH="/srv/darkroom/.venv/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    DARKROOM_DATA=/data \
    DARKROOM_HOST=0.0.0.0 \
    DARKROOM_LOG_FORMAT=json
USER darkroom
VOLUME /data
EXPOSE 8000
# Straight to the port, whatever proxy the environment names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "\
import http.client, os, sys; \
c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('DARKROOM_PORT') or 8000), timeout=4); \
c.request('GET', '/health/ready'); \
sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "service", "serve"]
