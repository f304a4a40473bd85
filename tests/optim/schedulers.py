"""Schedulers, each made by a function that gradlite's and PyTorch's module fit into."""

EPOCHS = 25

CASES = {
    "StepLR": lambda of, o: of.StepLR(o, step_size=7, gamma=0.5),
    "StepLR, defaults": lambda of, o: of.StepLR(o, 10),
    "MultiStepLR": lambda of, o: of.MultiStepLR(o, milestones=[11, 3, 3, 20], gamma=0.5),
    "ExponentialLR": lambda of, o: of.ExponentialLR(o, gamma=0.9),
    "ConstantLR": lambda of, o: of.ConstantLR(o),
    "ConstantLR, longer": lambda of, o: of.ConstantLR(o, factor=0.5, total_iters=9),
    "LinearLR": lambda of, o: of.LinearLR(o),
    "LinearLR, down": lambda of, o: of.LinearLR(o, 1.0, 0.0, total_iters=20),
    "PolynomialLR": lambda of, o: of.PolynomialLR(o),
    "PolynomialLR, square": lambda of, o: of.PolynomialLR(o, total_iters=20, power=2.0),
    "LambdaLR": lambda of, o: of.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "LambdaLR, two": lambda of, o: of.LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 + e]),
    "CosineAnnealingLR": lambda of, o: of.CosineAnnealingLR(o, T_max=20),
    "CosineAnnealingLR, again": lambda of, o: of.CosineAnnealingLR(o, T_max=4, eta_min=0.01),
    "CosineAnnealingLR, to zero": lambda of, o: of.CosineAnnealingLR(o, 3),
    "WarmRestarts": lambda of, o: of.CosineAnnealingWarmRestarts(o, 5, eta_min=0.01),
    "WarmRestarts, longer": lambda of, o: of.CosineAnnealingWarmRestarts(o, 3, T_mult=2),
    "OneCycleLR": lambda of, o: of.OneCycleLR(o, max_lr=0.5, total_steps=30),
    "OneCycleLR, linear": lambda of, o: of.OneCycleLR(
        o, max_lr=[0.5, 0.1], epochs=5, steps_per_epoch=6, anneal_strategy="linear", pct_start=0.4
    ),
    "OneCycleLR, three": lambda of, o: of.OneCycleLR(
        o, 0.5, 26, three_phase=True, pct_start=0.4, final_div_factor=10.0, base_momentum=0.7
    ),
    "OneCycleLR, rates only": lambda of, o: of.OneCycleLR(o, 0.5, 26, cycle_momentum=False),
    "CyclicLR": lambda of, o: of.CyclicLR(o, 0.1, 0.5, step_size_up=4),
    "CyclicLR, triangular2": lambda of, o: of.CyclicLR(
        o, [0.1, 0.2], 0.5, step_size_up=4, step_size_down=3, mode="triangular2"
    ),
    "CyclicLR, exp_range": lambda of, o: of.CyclicLR(
        o, 0.1, 0.5, 5, mode="exp_range", gamma=0.9, base_momentum=0.6
    ),
    "CyclicLR, own": lambda of, o: of.CyclicLR(
        o, 0.1, 0.5, 5, scale_fn=lambda x: 0.9**x, scale_mode="iterations"
    ),
    "SequentialLR": lambda of, o: of.SequentialLR(
        o,
        schedulers=[
            of.LinearLR(o, 0.1, 1.0, 4),
            of.CosineAnnealingLR(o, 9),
            of.ExponentialLR(o, 0.5),
        ],
        milestones=[4, 14],
    ),
    "SequentialLR, others": lambda of, o: of.SequentialLR(
        o,
        [
            of.ConstantLR(o, 0.1, 30),
            of.MultiStepLR(o, [2, 5]),
            of.LambdaLR(o, lambda e: 1 / (1 + e)),
            of.CosineAnnealingWarmRestarts(o, 3),
        ],
        [5, 12, 18],
    ),
    "ChainedScheduler": lambda of, o: of.ChainedScheduler(
        [of.ConstantLR(o, 0.1, 6), of.ExponentialLR(o, 0.9), of.StepLR(o, 4, 0.5)], optimizer=o
    ),
}


def rates_of(scheduler, optimizer):
    """The rates of all groups in each epoch, which `get_last_lr` must say too."""
    rates = []
    for _ in range(EPOCHS):
        rates.append([group["lr"] for group in optimizer.param_groups])
        assert list(scheduler.get_last_lr()) == rates[-1]
        optimizer.step()
        scheduler.step()
    return rates


def momentum_of(optimizer):
    (group, *_) = optimizer.param_groups
    return group["momentum"] if "momentum" in group else group["betas"][0]
