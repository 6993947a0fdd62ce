# hetznat: what this member of a group is: its key and its tunnel IPv4, made of the group's secret and of its instance id
# usage: member.py SECRET_FILE FIRST_ADDRESS COUNT BOOTHOOK_FILE [INSTANCE_ID]
# Prints the boothook with @key@, @ipv4@ and @instance@ replaced.
import base64
import hashlib
import hmac
import ipaddress
import sys


def instance_id():
    # Hetzner's instance id is the server's: cloud-init notes it down before it runs a boothook, the firmware has it always.
    for path in ("/var/lib/cloud/data/instance-id", "/sys/class/dmi/id/product_serial"):
        try:
            with open(path) as file:
                text = file.read().strip()
        except OSError:
            continue
        if text.isdigit():
            return int(text)
    sys.exit("hetznat: this server has no numeric instance id, so it cannot be a member of a group")


def sha256(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def private_key(secret, instance):
    # HKDF (RFC 5869) without a salt, one block; then clamped (RFC 7748, section 5).
    key = bytearray(sha256(sha256(bytes(32), secret), b"hetznat/1 key %d\x01" % instance))
    key[0] &= 248
    key[31] = key[31] & 127 | 64
    return base64.b64encode(key).decode()


def main(secret_file, first, count, boothook, instance=None):
    with open(secret_file) as file:
        secret = base64.b64decode(file.read().strip(), validate=True)
    instance = int(instance) if instance else instance_id()
    with open(boothook) as file:
        text = file.read()
    ipv4 = ipaddress.ip_address(first) + instance % int(count)
    values = (("@key@", private_key(secret, instance)), ("@ipv4@", str(ipv4)), ("@instance@", str(instance)))
    for mark, value in values:
        text = text.replace(mark, value)
    sys.stdout.write(text)


main(*sys.argv[1:])
