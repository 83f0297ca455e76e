"""Processes that need not import torch: a server that has done so forks them.

    python warm.py SOCKET [-m] MODULE ARGUMENTS…    runs `python -m MODULE ARGUMENTS…`

Signals, standard streams and the exit code are those of a process of its own.
"""

import array
import json
import os
import runpy
import signal
import socket
import sys

PASSED = {"LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"}


def main(path, *command):
    """Pass the standard streams to a fork of the server, and wait for its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        descriptors = array.array("i", [0, 1, 2])
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
        environment = {name: value for name, value in os.environ.items() if name in PASSED}
        connection.sendmsg([json.dumps([command, environment]).encode()], control)
        pid = int(connection.recv(20))
        for number in (0, 1):
            os.close(number)  # only the fork holds the pipes
        signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
        return int(connection.recv(20) or 1)


def serve(path, modules):
    """Import modules, then fork a process for each connection."""
    for module in modules:
        __import__(module)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _supervise(connection)


def _supervise(connection):
    size = array.array("i").itemsize * 3
    data, [(_, _, raw)], *_ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(size))
    pid = os.fork()
    if pid == 0:
        connection.close()
        descriptors = array.array("i")
        descriptors.frombytes(raw[:size])
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        _run(*json.loads(data))
    connection.send(str(pid).encode())
    for descriptor in array.array("i", raw[:size]):
        os.close(descriptor)
    for number in (0, 1):
        os.close(number)
    # A client that was killed takes its process along, as a process group does.
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        connection.settimeout(0.02)
        try:
            if not connection.recv(1):
                os.kill(pid, signal.SIGKILL)
        except TimeoutError:
            continue
        except OSError:
            os.kill(pid, signal.SIGKILL)
    try:
        connection.send(str(os.waitstatus_to_exitcode(status) & 255).encode())
    finally:
        os._exit(0)


def _run(command, environment):
    os.environ.update(environment)
    sys.argv = ["", *command[1:]]
    try:
        runpy.run_module(command[0], run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2], sys.argv[3:])
    else:
        path, *command = sys.argv[1:]
        sys.exit(main(path, *command[command[0] == "-m" :]))
