"""`headrace cost`: what a rate of events costs on AWS, by formulas over prices, measurements and assumptions."""
