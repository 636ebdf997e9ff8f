"""A gate board of the 7E/7F family on a pty, for tests.

Not an independent peer: it was written from the same single description as the gateway's codec, so it shows that the two sides agree with that description,
and nothing about hardware.

The pty's path is the first line on stdout. Each command is a line of JSON there. Commands come as lines on stdin:

    pass left|right N       so many guests go through
    fault N                 the fault byte
    alarm N                 the alarm byte
    deaf 0|1                nothing is answered or done
    lazy 0|1                orders are not carried out
    noise 0|1               bytes stand before each status
    restart                 it was without power: counters at zero
"""

import json
import os
import sys
import threading
import tty

MACHINE = 1
STATUS, OPEN_LEFT, OPEN_RIGHT, CLOSE = 0x10, 0x80, 0x82, 0x84


def checked(body):
    return bytes(body) + bytes([~sum(body) & 0xFF])


def say(**what):
    print(json.dumps(what), flush=True)


class Board:
    def __init__(self):
        self.left = self.right = 0
        self.fault = self.alarm = self.executed = 0
        self.deaf = self.lazy = self.noise = False

    def status(self):
        count = lambda value: list(value.to_bytes(3, "big"))
        body = [0x7F, 0x10, MACHINE, self.fault, 0, self.alarm, *count(self.left), *count(self.right), 0, self.executed, 0x18, 0, 0]
        return checked(body)

    def serve(self, master):
        buffer = b""
        while True:
            buffer += os.read(master, 64)
            while len(buffer) >= 8:
                frame, buffer = buffer[:8], buffer[8:]
                if frame[0] != 0x7E or checked(list(frame[:7])) != frame:
                    say(bad=frame.hex())
                    buffer = frame[1:] + buffer
                    continue
                if frame[2] == MACHINE and not self.deaf:
                    self.take(frame[3], frame[4])
                    os.write(master, (b"\x00\x7f\x10\x01\xff" if self.noise else b"") + self.status())

    def take(self, command, guests):
        if command == STATUS:
            return
        say(command=command, guests=guests)
        if not self.lazy:
            self.executed = command


def main():
    master, slave = os.openpty()
    tty.setraw(slave)
    board = Board()
    threading.Thread(target=board.serve, args=(master,), daemon=True).start()
    say(port=os.ttyname(slave))
    for line in sys.stdin:
        name, *rest = line.split()
        if name == "pass":
            setattr(board, rest[0], getattr(board, rest[0]) + int(rest[1]) & 0xFFFFFF)
        elif name in ("deaf", "lazy", "noise"):
            setattr(board, name, rest[0] == "1")
        elif name in ("fault", "alarm"):
            setattr(board, name, int(rest[0]))
        elif name == "restart":
            board.left = board.right = 0
        say(done=line.strip())


main()
