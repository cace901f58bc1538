// Stands in for gitea.dev/sdk, which the public module proxies do not serve
// under that path, by way of the older SDK that they do serve.
module gitea.dev/sdk

go 1.26.0

require code.gitea.io/sdk/gitea v0.25.1
