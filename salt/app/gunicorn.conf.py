# Managed by Salt: salt://app/gunicorn.conf.py
# The address is in the command of each slot.
worker_class = "gthread"
workers = {{ gunicorn.workers }}
threads = {{ gunicorn.threads }}
timeout = {{ gunicorn.timeout }}
graceful_timeout = {{ gunicorn.graceful_timeout }}

# A release that cannot be imported ends here, before it opens its door; the workers share the memory of what is loaded.
preload_app = True
# The workers' sign of life must not wait for a disk.
worker_tmp_dir = "/dev/shm"
# The folder of the socket lets only the app and Nginx in. Gunicorn gives the socket to the app's own group, so that with
# any other mask Nginx could not connect.
umask = 0
control_socket_disable = True

# Only Nginx can connect: it says who the client is, by this one header.
forwarded_allow_ips = "*"
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}

# Nginx has a log of the requests; errors go to Supervisor's log of the slot.
accesslog = None
errorlog = "-"


def post_worker_init(worker):
    """Load the URLs, and with them the views, before the first request instead of in it."""
    from django.urls import get_resolver

    get_resolver().url_patterns  # noqa: B018
