"""Where records come from and go to: Kinesis, Kafka, memory."""
