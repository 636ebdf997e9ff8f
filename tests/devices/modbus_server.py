"""Two I/O modules as pymodbus serves them, on a line of their own, for tests.

The gateway opens the pty whose path is the first line on stdout; pymodbus serves another, and the two are joined here, so that a module can be made deaf or
mute, or the line noisy. Each request, and each write to a coil or a setting, is a line of JSON on stdout. Commands come as lines on stdin:

    input UNIT ADDRESS 0|1      a contact
    counter UNIT REGISTER N     a counter reads N
    coil UNIT COIL 0|1          somebody else switches an output
    weld UNIT COIL              an output that stays on whatever is written; unweld ends it
    deaf UNIT 0|1               requests do not reach the module
    mute UNIT 0|1               the module does what it is told, and its answers are lost
    noise UNIT 0|1              bytes stand before each of its answers
    damage UNIT 0|1             one bit of each of its answers is flipped
    restart UNIT                it was without power: outputs off, counters at zero
    mark UNIT                   nothing; its echo is a mark among what is said
"""

import asyncio
import json
import os
import sys
import threading
import tty

from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

UNITS = (1, 2)
REAL = 96


def bit(registers, at):
    return registers[at // 16] >> (at % 16) & 1


def put(registers, at, on):
    if on:
        registers[at // 16] |= 1 << (at % 16)
    else:
        registers[at // 16] &= ~(1 << (at % 16)) & 0xFFFF


def say(**what):
    print(json.dumps(what), flush=True)


class Module:
    """A module in the shape of a WB-MR6C: coils 0 to 5, contacts 0 to 7, real states from 96, counters 32 to 39, settings up to 1023."""

    def __init__(self, unit):
        self.unit = unit
        self.coils = 0
        self.contacts = 0
        self.welded = 0
        self.counters = {}
        self.deaf = self.mute = self.noise = self.damage = False
        bits = lambda count: [SimData(0, count=16 * count, values=False, datatype=DataType.BITS)]
        self.device = SimDevice(
            unit,
            simdata=(bits(1), bits(7), [SimData(0, values=[0] * 1024, datatype=DataType.REGISTERS)], [SimData(32, values=[0] * 8, datatype=DataType.REGISTERS)]),
            action=self.action,
        )

    async def action(self, function, start, address, count, registers, values):
        if function != 5 or values is not None:
            say(unit=self.unit, asked=function)
        if function == 5 and values is not None:
            on = bool(values[0])
            self.coils = self.coils | 1 << address if on else self.coils & ~(1 << address)
            say(unit=self.unit, coil=address, on=on)
        if function == 1:
            registers[0] = self.coils | self.welded
        if function == 5:
            registers[0] = self.coils
        if function == 2:
            registers[0] = self.contacts
            registers[REAL // 16] = self.coils | self.welded
        if function == 4:
            for register, value in self.counters.items():
                registers[register - start] = value
        if function == 6 and values is not None:
            say(unit=self.unit, register=address, value=values[0])
        return None


def command(modules, words):
    name, unit, *rest = words
    module = modules[int(unit)]
    numbers = [int(word) for word in rest]
    if name == "input":
        module.contacts = module.contacts | 1 << numbers[0] if numbers[1] else module.contacts & ~(1 << numbers[0])
    elif name == "counter":
        module.counters[numbers[0]] = numbers[1]
    elif name == "coil":
        module.coils = module.coils | 1 << numbers[0] if numbers[1] else module.coils & ~(1 << numbers[0])
    elif name == "weld":
        module.welded |= 1 << numbers[0]
    elif name == "unweld":
        module.welded &= ~(1 << numbers[0])
    elif name in ("deaf", "mute", "noise", "damage"):
        setattr(module, name, bool(numbers[0]))
    elif name == "restart":
        module.coils = 0
        module.counters = dict.fromkeys(module.counters, 0)
    say(done=" ".join(words))


def pty():
    master, slave = os.openpty()
    tty.setraw(slave)
    return master, os.ttyname(slave), slave


def join(modules, gateway, server):
    def to_server():
        while True:
            frame = os.read(gateway, 512)
            module = modules.get(frame[0]) if frame else None
            if not (module and module.deaf):
                os.write(server, frame)

    def to_gateway():
        while True:
            frame = os.read(server, 512)
            module = modules.get(frame[0]) if frame else None
            if module and module.mute:
                continue
            if module and module.noise:
                frame = bytes([0, 0xFF, module.unit, 5]) + frame
            if module and module.damage:
                frame = frame[:2] + bytes([frame[2] ^ 4]) + frame[3:]
            os.write(gateway, frame)

    for work in (to_server, to_gateway):
        threading.Thread(target=work, daemon=True).start()


async def main():
    modules = {unit: Module(unit) for unit in UNITS}
    gateway, path, _slave = pty()
    bridge, server_path, _other = pty()
    join(modules, gateway, bridge)
    server = ModbusSerialServer([module.device for module in modules.values()], port=server_path, baudrate=115200)
    serving = asyncio.create_task(server.serve_forever())
    loop = asyncio.get_running_loop()
    say(port=path)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command(modules, line.split())
    serving.cancel()


asyncio.run(main())
