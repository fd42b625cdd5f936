"""Gunicorn's settings, however the backend is started: --config python:ml_backend.serving."""

# One process, so that committees are loaded once; threads, for answers wait for images.
workers = 1
threads = 8
worker_class = "ml_backend.slow_clients.PatientWorker"
timeout = 120
graceful_timeout = 10  # for requests under way when it is asked to stop
control_socket_disable = True
logger_class = "ml_backend.logs.GunicornLogger"
