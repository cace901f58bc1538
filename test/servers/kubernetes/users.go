package kubernetes

import (
	"context"
	"fmt"
	"time"

	authentication "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	clients "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	kubeconfig "k8s.io/client-go/tools/clientcmd/api"
)

const (
	// tokenLife is how long a service account's token holds: longer than a demo.
	tokenLife = 24 * time.Hour

	// requestLimit is how long one request of ours to the API may take.
	requestLimit = 10 * time.Second
)

// ServiceAccountKubeconfig asks for a token of an existing service account,
// good for a day, and returns the path of a kubeconfig that uses it from the
// machine's loopback. It may do what the account's roles allow, and no more.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, namespace, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	seconds := int64(tokenLife / time.Second)
	granted, err := c.admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name,
		&authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: &seconds}}, meta.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("ask for a token of the service account %s/%s: %w", namespace, name, err)
	}
	user := &kubeconfig.AuthInfo{Token: granted.Status.Token}
	return c.files.writeKubeconfig(namespace+"-"+name, c.URL, c.CA, namespace, user)
}

// writeKubeconfig writes a kubeconfig for one user and returns its path.
func (f files) writeKubeconfig(name, url string, ca []byte, namespace string, user *kubeconfig.AuthInfo) (string, error) {
	config := kubeconfig.NewConfig()
	config.Clusters["slipway"] = &kubeconfig.Cluster{Server: url, CertificateAuthorityData: ca}
	config.AuthInfos[name] = user
	config.Contexts[name] = &kubeconfig.Context{Cluster: "slipway", AuthInfo: name, Namespace: namespace}
	config.CurrentContext = name
	body, err := clientcmd.Write(*config)
	if err != nil {
		return "", fmt.Errorf("write the kubeconfig of %s: %w", name, err)
	}
	return f.write(body, name+".kubeconfig")
}

// certified is the user that a client certificate stands for.
func certified(pair keyPair) *kubeconfig.AuthInfo {
	return &kubeconfig.AuthInfo{ClientCertificateData: pair.cert, ClientKeyData: pair.key}
}

// client makes a client of the API from a kubeconfig, without the throttle that
// is meant to spare shared clusters.
func client(path string) (clients.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.Timeout = requestLimit
	config.WarningHandler = rest.NoWarnings{}
	return clients.NewForConfig(config)
}
