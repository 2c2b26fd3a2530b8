"""Tables as data, one file for each target: `kernels-TARGET.json`, `costs-TARGET.json`."""
