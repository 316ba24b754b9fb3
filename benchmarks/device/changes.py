"""What changed on a device while it was measured: heat, throttling, clocks, power mode."""

from collections.abc import Sequence

from dspctl.benchmarks.device.identity import Device
from dspctl.benchmarks.device.thermal import ThermalZone

NOTABLE_RISE_MILLIDEGREES = 5_000
"""Rises below 5 °C are ordinary warming, and are not mentioned."""

_HZ_PER_MHZ = 1_000_000


def compare(before: Device, after: Device) -> tuple[str, ...]:
    """Sentences on what happened to a device between two readings; none when nothing did.

    Readings of different boards are not compared: the one sentence then says so.
    """
    if (before.board, before.chip, before.cpu) != (after.board, after.chip, after.cpu):
        return ("the two readings are of different devices, so nothing follows from them",)
    return (
        *_warming(before.zones, after.zones),
        *_throttling(before, after),
        *_limits(before, after),
        *_settings(before, after),
    )


def _warming(before: Sequence[ThermalZone], after: Sequence[ThermalZone]) -> list[str]:
    """The sensor that rose most, where it rose notably: the others follow it."""
    earlier = {(zone.zone, zone.kind): zone.millidegrees for zone in before}
    rises = []
    for zone in after:
        start = earlier.get((zone.zone, zone.kind))
        if start is not None and zone.millidegrees is not None:
            rises.append((zone.millidegrees - start, start, zone))
    if not rises:
        return []
    rise, start, zone = max(rises, key=lambda entry: entry[0])
    if rise < NOTABLE_RISE_MILLIDEGREES:
        return []
    end = start + rise
    return [
        f"{zone.kind or f'zone {zone.zone}'} warmed by {rise / 1000:.1f} °C, from "
        f"{start / 1000:.1f} to {end / 1000:.1f} °C: warm up for longer before measuring"
    ]


def _throttling(before: Device, after: Device) -> list[str]:
    found = []
    earlier = {(device.device, device.kind): device.state or 0 for device in before.cooling}
    raised = [
        str(device)
        for device in after.cooling
        if device.throttling
        and (device.state or 0) > max(earlier.get((device.device, device.kind), 0), 0)
    ]
    if raised:
        found.append(
            f"heat slowed the device down while measuring: {', '.join(raised)}: cool it better "
            "and repeat"
        )
    if before.throttle_events is not None and after.throttle_events is not None:
        events = after.throttle_events - before.throttle_events
        if events > 0:
            found.append(
                f"heat slowed cores down {events} times while measuring: cool the machine better "
                "and repeat"
            )
    return found


def _limits(before: Device, after: Device) -> list[str]:
    """A lowered upper limit is how throttling shows where no cooling device does."""
    earlier = {clock.cpu: clock.max_hz for clock in before.clocks}
    lowered = []
    for clock in after.clocks:
        start = earlier.get(clock.cpu)
        if start is not None and clock.max_hz is not None and clock.max_hz < start:
            lowered.append((clock.max_hz, start))
    if not lowered:
        return []
    end, start = min(lowered)
    return [
        f"the highest clock fell on {len(lowered)} of {len(after.clocks)} CPUs while measuring, to "
        f"{end // _HZ_PER_MHZ} from {start // _HZ_PER_MHZ} MHz: find what limits it and repeat"
    ]


def _settings(before: Device, after: Device) -> list[str]:
    found = []
    if before.power_mode != after.power_mode:
        names = [mode or "unknown" for mode in (before.power_mode, after.power_mode)]
        found.append(
            f"the power mode changed while measuring, from {names[0]} to {names[1]}: repeat"
        )
    if [clock.governor for clock in before.clocks] != [clock.governor for clock in after.clocks]:
        found.append("the frequency governors changed while measuring: repeat")
    return found
