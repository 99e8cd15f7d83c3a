import API

/// The JSON of the RPC, not that of model files.
typealias JSONValue = API.JSONValue
