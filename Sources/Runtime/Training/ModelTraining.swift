internal import Programs

/// The training of a model that somebody made: what is moved starts from its weights, and at the end there is a model like it.
public protocol ModelTraining: Sendable {
    var objective: ImportedObjective { get }
    /// The data set, as the objective declares it.
    var data: [Tensor] { get }
    /// What the trained weights start from, in the objective's order.
    func weights() -> [Tensor]
    /// What the program reads beside them.
    var frozen: [StoredParameter] { get }
    /// What takes the model that was written into a folder: the folder, or a file in it.
    func path(in folder: String) -> String
    /// Writes the model with these weights, in the objective's order, into a folder.
    func write(_ weights: [Tensor], to path: String) throws(TrainingFault)
    /// The same with the weights that a training has come to.
    func write(_ trainer: Trainer, to path: String) throws(TrainingFault)
}
