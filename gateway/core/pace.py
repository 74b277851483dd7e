"""Pace: how slowly a sender may send before it is given up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Who sends nothing for this long is gone, or means harm; so is who goes on sending next to nothing."""

    silence_seconds_max: float = 30.0
    bytes_per_second_min: float = 1000.0

    def deadline(self, began: float, now: float, size: int) -> float:
        """Return when the next bytes must be here, of a sender that sent `size` bytes since `began`.

        The moments are of one clock, in seconds. Who was fast before has not earned a longer silence.
        """
        return min(now, began + size / self.bytes_per_second_min) + self.silence_seconds_max
