"""What an event is, and how bytes become one.

`schema` is the field list that everything else follows; `parse` turns bytes into events or rejections; `transform`
turns events into columns; `mapping` makes foreign JSON and CSV ours.
"""
