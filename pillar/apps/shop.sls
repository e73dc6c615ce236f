# The example app (examples/shop) as the lab deploys it. Only source, revision and domains are required.
apps:
  shop:
    source: {git: git://10.213.7.2/shop.git}
    revision: v1
    # The lab has no name server: the balancer answers to its address too.
    domains: [shop.lab.test, 10.213.7.10]
    settings: shop.settings.production
    wsgi: shop.wsgi:application
    # A page that asks the database, so that a release without one gets no traffic. The shop starts in 2 seconds; one
    # that has not answered well after 20 is given up (the default is 60).
    health: {path: /healthz/, start_timeout: 20}
    # Seconds that a release is watched after it got the traffic. Short, for the lab; the default is 10.
    rollout: {watch: 3}
    # Values beside the secrets in /etc/shop/secrets.json. The lab has no certificates, so no redirect to https.
    config: {SECURE_SSL_REDIRECT: false}
