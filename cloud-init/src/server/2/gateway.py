# hetznat: whether the gateway answers, once, within a time, or for ever
# usage: gateway.py ask GATEWAY | wait GATEWAY SECONDS | watch GATEWAY INTERFACE
import socket
import subprocess
import sys
import time


def answers(gateway):
    try:
        socket.create_connection((gateway, 53), 4).close()
    except ConnectionRefusedError:
        # An answer too: it resolves no names.
        pass
    except OSError:
        return False
    return True


def wait(gateway, seconds):
    end = time.monotonic() + float(seconds)
    while not answers(gateway):
        if time.monotonic() > end:
            print("the gateway has not connected yet; IPv4 works as soon as it does")
            return False
        time.sleep(1)
    return True


def received(interface):
    try:
        with open(f"/sys/class/net/{interface}/statistics/rx_bytes") as file:
            return file.read()
    except OSError:
        return ""


# Without a gateway the kernel would hold packets back for 90 seconds: routes that are gone fail at once.
def watch(gateway, interface):
    subprocess.run(["/usr/local/sbin/hetznat", "back"])
    before, missed = "", 0
    while True:
        now = received(interface)
        # What came since the last look is an answer; only silence is asked into.
        if now != before and missed == 0 or answers(gateway):
            if missed > 2:
                subprocess.run(["/usr/local/sbin/hetznat", "back"])
                print("the gateway answers: IPv4 is on", flush=True)
            before, missed = now, 0
            time.sleep(15)
        else:
            missed += 1
            if missed == 3:
                subprocess.run(["/usr/local/sbin/hetznat", "away"])
                print("the gateway is silent: connections to IPv4 fail at once until it answers", flush=True)
            time.sleep(1)


found = {"ask": answers, "wait": wait, "watch": watch}[sys.argv[1]](*sys.argv[2:])
sys.exit(0 if found else 1)
