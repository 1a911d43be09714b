package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"ddm/client"
	"ddm/internal/config"
	"ddm/internal/errdefs"
	"ddm/internal/metalink"
)

// split tells arguments that are URLs from those that name Metalink documents
// on this machine.
func split(args []string) (urls, documents []string) {
	for _, arg := range args {
		if isDocument(arg) {
			documents = append(documents, arg)
		} else {
			urls = append(urls, arg)
		}
	}
	return urls, documents
}

func isDocument(arg string) bool { return !strings.Contains(arg, "://") && metalink.IsName(arg) }

// readMetalinks makes an order of every file that the documents describe.
func readMetalinks(paths []string, base client.Job) ([]order, error) {
	var orders []order
	for _, path := range paths {
		files, err := openMetalink(path)
		if err != nil {
			return nil, err
		}
		jobs, err := client.Described(files, base)
		if err != nil {
			return nil, &config.SettingError{Where: path, Text: withoutKind(err)}
		}
		for _, job := range jobs {
			orders = append(orders, described(job))
		}
	}
	return orders, nil
}

// openMetalink reads a document on this machine.
func openMetalink(path string) ([]metalink.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	files, err := metalink.Parse(f)
	if err != nil && errdefs.KindOf(err) == errdefs.Invalid {
		return nil, &config.SettingError{Where: path, Text: err.Error()}
	}
	return files, err
}

// described is the order for a download that a document describes.
func described(job client.Job) order {
	label := job.Output
	if u, err := url.Parse(job.URLs[0]); err == nil {
		label = redact(u)
	}
	return order{label: label, job: job}
}

// withoutKind is an error's text where its kind is said already.
func withoutKind(err error) string {
	return strings.TrimPrefix(err.Error(), string(errdefs.Invalid)+": ")
}
