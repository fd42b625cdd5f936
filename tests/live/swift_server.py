"""OpenStack Swift with its S3 API, all four services in one process; run by Debian's own Python.

``python3 swift_server.py FOLDER PROXY_PORT ACCOUNT_PORT CONTAINER_PORT OBJECT_PORT USER PASSWORD``
serves on loopback until it is killed, and goes on where it was when it is started again.
"""

import getpass
import sys
from pathlib import Path

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402
from swift.common import utils  # noqa: E402
from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.storage_policy import reload_storage_policies  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

LOOPBACK = "127.0.0.1"
SERVICES = ("account", "container", "object")

STORAGE = """[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
user = {user}
[pipeline:main]
pipeline = app
[app:app]
use = egg:swift#{service}
# Listings are brought up to date before a request is answered.
container_update_timeout = 20
"""

PROXY = """[DEFAULT]
swift_dir = {folder}
user = {user}
[pipeline:main]
pipeline = catch_errors gatekeeper proxy-logging cache listing_formats s3api tempauth bulk slo \
 proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:proxy-logging]
use = egg:swift#proxy_logging
access_log_name = access
[filter:cache]
use = egg:swift#memcache
# There is none: every request asks the storage.
memcache_servers = 127.0.0.1:9
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{name} = {password} .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
"""


def configure(folder: Path, ports: list[int], access_key: str, password: str) -> None:
    (folder / "devices/sda").mkdir(parents=True)
    (folder / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = quorum\n"
        "[storage-policy:0]\nname = all\ndefault = yes\n"
    )
    user = getpass.getuser()
    for service, port in zip(SERVICES, ports, strict=True):
        builder = RingBuilder(4, 1, 0)  # 16 partitions, one replica
        builder.add_dev(
            {"region": 1, "zone": 1, "ip": LOOPBACK, "port": port, "device": "sda", "weight": 1}
        )
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{service}.ring.gz"))
        values = {"folder": folder, "user": user, "service": service}
        (folder / f"{service}.conf").write_text(STORAGE.format(**values))
    account, _, name = access_key.partition(":")
    values = {"folder": folder, "user": user, "account": account, "name": name}
    (folder / "proxy.conf").write_text(PROXY.format(password=password, **values))


def main() -> None:
    folder = Path(sys.argv[1])
    proxy_port, *ports = (int(port) for port in sys.argv[2:6])
    if not (folder / "proxy.conf").exists():
        configure(folder, ports, sys.argv[6], sys.argv[7])
    utils.set_swift_dir(str(folder))
    utils.validate_hash_conf()
    reload_storage_policies()
    sockets = [eventlet.listen((LOOPBACK, port)) for port in (*ports, proxy_port)]
    serving = [
        eventlet.spawn(
            wsgi.server,
            socket,
            loadapp(str(folder / f"{service}.conf")),
            protocol=SwiftHttpProtocol,
            capitalize_response_headers=False,  # an "Etag" is not an "ETag" to S3 clients
        )
        for socket, service in zip(sockets, (*SERVICES, "proxy"), strict=True)
    ]
    for server in serving:
        server.wait()


if __name__ == "__main__":
    main()
