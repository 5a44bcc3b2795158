"""The networks, each a plain torch module: tensors in, tensors out.

They read no files, know no formats and choose no device. ``studio.models.common`` names the two protocols they serve.
"""
