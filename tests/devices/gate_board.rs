//! The driver of gate boards against a simulator.
