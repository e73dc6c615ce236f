# A balancer passes requests on: it needs no secret. (Every role has a file here, top.sls names it.)
