"""Sharing: what two tasks hold in common.

A function, called as `sharing(names, network)`, is a rule over the parameter names that two networks have in common. Where
weights are carried over, the names it gives travel. Where tasks are learned together (`transfer=joint`), the tasks hold the
names it gives in common, and each has the others for itself.

A class is a structure for tasks that are learned together, a module built as `Sharing(network, tasks)` with the tasks by role.
Its parameters are what is not the network's: what the target has for itself is the network's, the sources have copies.
`overrides(network, batch)` gives what stands in for which of the network's modules while the batch's task is served.
It may have:

* `penalties(network, batches) -> {name: loss}`, called after the forward pass;
* `rates() -> {name: multiplier}` of the learning rate;
* `merge(network, task)`, which writes into the network what the task has for itself, and returns whether it now needs the
  structure no longer;
* `modalities`, whose encoders differ between tasks; `below`, False where only heads differ;
* `mixes`, where a column reads the inputs of other tasks than its own;
* `ties`, where tasks have no parameter in common but a penalty draws them together;
* `frozen(network, role)`, the parameters that are read without a gradient.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_encoder": ["encoder"],
        "_hard": ["hard"],
        "_layers": ["layers"],
        "_none": ["none"],
        "adapter": ["Adapter"],
        "all": ["share_all"],
        "cross_stitch": ["CrossStitch"],
        "lora": ["Lora"],
        "mmoe": ["Mmoe"],
        "mtan": ["Mtan"],
        "names": ["by_name"],
        "ple": ["Ple"],
        "progressive": ["Progressive"],
        "soft": ["Soft"],
    },
)
