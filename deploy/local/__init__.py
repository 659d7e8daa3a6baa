"""The local cloud: an AWS emulator and an Athena endpoint, on 127.0.0.1 only. No service knows that it is local."""
