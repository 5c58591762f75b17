// Command coderd asks a registry for an image as the guide's product does: over TLS, with the
// roots that Go finds in the container. Its readiness is the answer, so that the pod's own view
// of name, trust and registry can be seen from outside.
//
//	ENVBOX_IMAGE=HOST[:PORT]/REPOSITORY:TAG coderd     serves /healthz and /readyz on :8080
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

var accepted = strings.Join([]string{
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v2+json",
}, ", ")

func main() {
	if err := run(os.Getenv("ENVBOX_IMAGE")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(image string) error {
	address, err := manifestURL(image)
	if err != nil {
		return err
	}
	said := ""
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		answer := "ok"
		if err := ask(r.Context(), address); err != nil {
			answer = err.Error()
		}
		if answer != said {
			said = answer
			log.Print(answer)
		}
		if answer != "ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, answer)
	})
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-end
		os.Exit(0)
	}()
	return http.ListenAndServe(":8080", nil)
}

func manifestURL(image string) (string, error) {
	host, path, found := strings.Cut(image, "/")
	repository, tag, tagged := strings.Cut(path, ":")
	if !found || !tagged || host == "" {
		return "", fmt.Errorf("ENVBOX_IMAGE %q is not HOST/REPOSITORY:TAG", image)
	}
	return fmt.Sprintf("https://%s/v2/%s/manifests/%s", host, repository, tag), nil
}

// ask opens a connection of its own, so that each answer is one to the state of now.
func ask(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", accepted)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, answer.Status)
	}
	return nil
}
