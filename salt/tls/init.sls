# Certificates that certbot has renewed are read at once. Which ones a site has says its app's key tls.

tls-renewed:
  file.managed:
    - name: /etc/letsencrypt/renewal-hooks/deploy/slipway
    - source: salt://tls/renewed.sh
    - mode: "0755"
    - makedirs: True
