"""The app that bench/servers.py puts behind each web server: four views, one table."""
