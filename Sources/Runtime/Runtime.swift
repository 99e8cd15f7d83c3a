/// Runs tensor programs bit-exactly on this machine, and makes them from the models that people have. Knows nothing of chains.
///
/// `ReferenceExecutor` computes every op by its definition; `Executor` fuses, tiles and spreads over cores, and gives the same bits.
