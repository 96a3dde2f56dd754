"""Sharing: the parameters that are copied from source to target, or shared between jointly learned tasks.

A function, called as `sharing(names, network)`, selects from the parameter names that two networks have in common. If the
transfer copies weights, it copies the selected ones. If tasks are learned together (`transfer=joint`), the tasks share the
selected parameters, and each task has private copies of the others.

A class is a structure for tasks that are learned together, a module built as `Sharing(network, tasks)` with the tasks by role.
Its parameters are those outside of the network: the target's private modules are the network's own, the sources have copies.
`overrides(network, batch)` returns the forward functions that replace modules of the network for the batch's task.
It may have:

* `penalties(network, batches) -> {name: loss}`, called after the forward pass;
* `rates() -> {name: multiplier}` of the learning rate;
* `merge(network, task)`, which writes the task's private parameters into the network, and returns whether the network
  now serves the task without the structure;
* `modalities`, those with different encoders per task; `below`, False where only heads differ;
* `mixes`, if a column also reads the inputs of other tasks;
* `ties`, if tasks share no parameter but a penalty ties their weights;
* `frozen(network, role)`, the parameters that are used without a gradient.
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
