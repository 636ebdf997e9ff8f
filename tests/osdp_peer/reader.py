"""OSDP readers on one pty, by PyPI's libosdp: what the gateway is tested against.

Argument: a JSON list of readers, each {"address": 5, "key": "32 hex digits" or null, "install": true or false}.
Standard output: the pty's path in the first line; then one JSON object for each command that a reader was given.
Standard input: one JSON object a line: {"address": 5, ...} with one of
  "card": "hex", "bits": 26     present a card
  "keys": "1234\\r"              press keys
  "inputs": [0, 1]              inputs change
  "local": [tamper, power]
  "mute": true                  power off; false: power on again, as new
Ends when standard input does.
"""

import json
import os
import select
import sys

from osdp import Capability, CardFormat, Channel, Event, LibFlag, LogLevel, PDCapabilities, PDInfo, PeripheralDevice, StatusReportType

ABILITIES = [
    (Capability.OutputControl, 1, 2),
    (Capability.ContactStatusMonitoring, 1, 2),
    (Capability.LEDControl, 1, 1),
    (Capability.AudibleControl, 1, 1),
    (Capability.TextOutput, 1, 1),
]


class Bus:
    """The pty's end of the readers. Each reader hears every byte."""

    def __init__(self):
        self.end, other = os.openpty()
        self.path = os.ttyname(other)
        os.close(other)
        os.set_blocking(self.end, False)
        self.ears = {}

    def hear(self):
        try:
            heard = os.read(self.end, 4096)
        except OSError:  # Nothing there, or nobody has opened the other end.
            return
        for ear in self.ears.values():
            ear.waiting += heard


class Ear(Channel):
    """One reader's place on the bus."""

    def __init__(self, bus):
        super().__init__()
        self.bus = bus
        self.waiting = b""

    def read(self, max_bytes):
        taken, self.waiting = self.waiting[:max_bytes], self.waiting[max_bytes:]
        return taken

    def write(self, buf):
        try:
            os.write(self.bus.end, buf)
        except OSError:
            pass
        return len(buf)

    def flush(self):
        self.waiting = b""


class Reader:
    def __init__(self, bus, spec):
        self.bus, self.spec = bus, spec
        self.key = bytes.fromhex(spec["key"]) if spec.get("key") else None
        self.device = None
        self.power(True)

    def power(self, on):
        self.device = None
        self.bus.ears.pop(self.spec["address"], None)
        if not on:
            return
        ear = Ear(self.bus)
        self.bus.ears[self.spec["address"]] = ear
        flags = [LibFlag.EnforceSecure] if self.key else []
        if self.spec.get("install"):
            flags.append(LibFlag.InstallMode)
        info = PDInfo(self.spec["address"], ear, scbk=self.key, flags=flags)
        self.device = PeripheralDevice(info, PDCapabilities(ABILITIES), log_level=LogLevel.Emergency, command_handler=self.command)

    def command(self, command):
        told = {name: value.hex() if isinstance(value, bytes) else value for name, value in command.items()}
        if "type" in told and "data" in told and len(told["data"]) == 32:  # A key: kept for the next power-up.
            self.key = bytes.fromhex(told["data"])
        say({"address": self.spec["address"], **told})
        return 0, None

    def submit(self, event):
        self.device.ctx.submit_event(event)

    def told(self, what):
        if "card" in what:
            data = bytes.fromhex(what["card"])
            bits = what.get("bits", len(data) * 8)
            kind = CardFormat.Wiegand if bits % 8 else CardFormat.Unspecified
            self.submit({"event": Event.CardRead, "reader_no": 0, "direction": 0, "format": kind, "length": bits, "data": data})
        if "keys" in what:
            self.submit({"event": Event.KeyPress, "reader_no": 0, "data": what["keys"].encode()})
        if "inputs" in what:
            self.submit({"event": Event.Status, "type": StatusReportType.Input, "report": bytes(what["inputs"])})
        if "local" in what:
            self.submit({"event": Event.Status, "type": StatusReportType.Local, "report": bytes(what["local"])})
        if "mute" in what:
            self.power(not what["mute"])


def say(told):
    print(json.dumps(told), flush=True)


def main():
    # The library greets on standard output, which belongs to the test.
    mine = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(mine, "w")
    bus = Bus()
    readers = {spec["address"]: Reader(bus, spec) for spec in json.loads(sys.argv[1])}
    print(bus.path, flush=True)
    pending = b""
    while True:
        ready, _, _ = select.select([0], [], [], 0.004)
        if ready:
            read = os.read(0, 65536)
            if not read:
                return
            pending += read
            *lines, pending = pending.split(b"\n")
            for line in lines:
                what = json.loads(line)
                readers[what["address"]].told(what)
        bus.hear()
        for reader in readers.values():
            if reader.device:
                reader.device.ctx.refresh()


main()
