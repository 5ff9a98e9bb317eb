"""What the training peers share: DistributedDataParallel over gloo with one of the communication hooks that PyTorch ships."""
import torch

HOOKS = ("none", "fp16", "powersgd")


def add_options(parser):
    parser.add_argument("--hook", choices=HOOKS, default="none")
    parser.add_argument("--rank", type=int, default=4, help="of powersgd")


def name(a, world):
    kind = "eager" if world == 1 else "ddp gloo" + {"none": "", "fp16": ", fp16 hook", "powersgd": f", PowerSGD rank {a.rank}"}[a.hook]
    return f"torch {torch.__version__} {kind}"


def wrap(net, a):
    """The model as every rank of a world of several trains it."""
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook  # not in the start of a process alone

    torch.distributed.init_process_group("gloo")
    if a.hook != "powersgd":
        model = torch.nn.parallel.DistributedDataParallel(net)
        if a.hook == "fp16":
            model.register_comm_hook(None, default_hooks.fp16_compress_hook)
        return model
    # One bucket: with several, ranks issue the hook's collectives in different orders, and gloo crashes or hangs.
    model = torch.nn.parallel.DistributedDataParallel(net, bucket_cap_mb=4096)
    state = powerSGD_hook.PowerSGDState(None, matrix_approximation_rank=a.rank, start_powerSGD_iter=2)
    model.register_comm_hook(state, powerSGD_hook.powerSGD_hook)
    return model
