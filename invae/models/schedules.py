"""Weights and capacities as functions of the completed share of the training, not of iterations."""

from invae.config.objective import (
    CapacityConfig,
    ConstantSchedule,
    CyclicSchedule,
    LinearSchedule,
    ScheduleConfig,
)


def factor(schedule: ScheduleConfig, progress: float) -> float:
    """Factor on beta after a share of the training, 0–1.

    Source: of the cycles, Fu et al. 2019, arXiv:1903.10145, eq. 6–7.
    """
    match schedule:
        case ConstantSchedule():
            return 1.0
        case LinearSchedule(initial=initial, until=until):
            return initial + (1 - initial) * min(progress / until, 1.0)
        case CyclicSchedule(cycles=cycles, ramp=ramp):
            # The end of the training is the end of the last cycle, not the beginning of another.
            within = progress * cycles % 1.0 if progress < 1 else 1.0
            return min(within / ramp, 1.0)


def settled_from(schedule: ScheduleConfig) -> float:
    """Share of the training after which the factor is constant."""
    match schedule:
        case ConstantSchedule():
            return 0.0
        case LinearSchedule(until=until):
            return until
        case CyclicSchedule(cycles=cycles, ramp=ramp):
            return (cycles - 1 + ramp) / cycles


def capacity(config: CapacityConfig, progress: float) -> float:
    """Target of the KL divergence after a share of the training [nats per patch].

    Source: Burgess et al. 2018, arXiv:1804.03599, section 4.2; theirs rises with iterations.
    """
    risen = (progress - config.start) / (config.end - config.start)
    return config.maximum * min(max(risen, 0.0), 1.0)
