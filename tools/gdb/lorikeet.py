# Prints a Tensor in gdb as its dtype, shape and first values:
#
#   (gdb) source tools/gdb/lorikeet.py
#   (gdb) print logits
#   $1 = bf16 (2, 3) [0.5, -1.25, 2, 0, 1, 3]
import struct

import gdb
import gdb.printing

MAX_VALUES = 8
# name of the enumerator: (name, bytes, how one is read)
PLAIN = {
    "kF32": ("f32", 4, lambda b: struct.unpack("<f", b)[0]),
    "kF16": ("f16", 2, lambda b: struct.unpack("<e", b)[0]),
    "kBF16": ("bf16", 2, lambda b: struct.unpack("<f", b"\0\0" + b)[0]),
    "kI32": ("i32", 4, lambda b: struct.unpack("<i", b)[0]),
}


class TensorPrinter:
    """A Tensor as one line. Quantised tensors have no values, a null tensor is "null"."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        data = int(self.value["data"])
        dtype = str(self.value["dtype"]).rpartition("::")[2]
        rank = int(self.value["rank"])
        sizes = self.value["shape"]["_M_elems"]
        shape = [int(sizes[i]) for i in range(min(rank, 4))]
        name, width, read = PLAIN.get(dtype, (dtype[1:].lower(), 0, None))
        text = f"{name} ({', '.join(map(str, shape))})"
        if data == 0:
            return f"null {text}"
        if read is None:
            return f"{text} at {data:#x}"
        count = 0 if rank == 0 else 1
        for size in shape:
            count *= size
        shown = min(count, MAX_VALUES)
        try:
            memory = bytes(gdb.selected_inferior().read_memory(data, shown * width))
        except gdb.MemoryError:
            return f"{text} at {data:#x}, which cannot be read"
        values = [f"{read(memory[i * width:(i + 1) * width]):.6g}" for i in range(shown)]
        return f"{text} [{', '.join(values)}{', ...' if count > shown else ''}]"


printers = gdb.printing.RegexpCollectionPrettyPrinter("lorikeet")
printers.add_printer("Tensor", "^lorikeet::Tensor$", TensorPrinter)
gdb.printing.register_pretty_printer(gdb.current_objfile(), printers, replace=True)
