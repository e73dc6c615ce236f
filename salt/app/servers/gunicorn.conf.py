# Managed by Salt: salt://app/servers/gunicorn.conf.py
# The door and the kind of worker (threads, or Uvicorn's event loop) are in the command of each slot.
workers = {{ web.workers }}
threads = {{ web.threads }}
timeout = {{ web.timeout }}
graceful_timeout = {{ web.timeout }}
# A worker takes no more requests than it has threads: the others wait for whichever worker is free first. By default it
# would take up to 1,000 and let them wait for its own threads, with the other workers idle.
worker_connections = {{ web.threads }}
# Nginx makes a connection for each request.
keepalive = 0

# A release that cannot be imported ends here, before it opens its door; the workers share the memory of what is loaded.
preload_app = True
# The workers' sign of life must not wait for a disk.
worker_tmp_dir = "/dev/shm"
# The folder of the socket lets only the app and Nginx in. Gunicorn gives the socket to the app's own group, so that with
# any other mask Nginx could not connect.
umask = 0
control_socket_disable = True

# Only Nginx can connect: it says who the client is, and by this one header how it came.
forwarded_allow_ips = "*"
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}

# Nginx has a log of the requests; errors go to the slot's log.
accesslog = None
errorlog = "-"


def post_worker_init(worker):
    """Load the URLs, and with them the views, before the first request instead of in it."""
    from django.urls import get_resolver

    get_resolver().url_patterns  # noqa: B018
    # Uvicorn does this by itself.
    if worker.cfg.worker_class_str == "gthread":
        worker.wsgi = _with_address(worker.wsgi)


def _with_address(application):
    """The WSGI application, told who the client is: on a unix socket nobody but Nginx knows."""

    def with_address(environ, start_response):
        environ["REMOTE_ADDR"] = environ.get("HTTP_X_FORWARDED_FOR", "")
        return application(environ, start_response)

    return with_address
