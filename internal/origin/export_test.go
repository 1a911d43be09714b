package origin

import "net/http"

// Hops follows a chain of Location fields from a URL and returns, for each
// request that would be sent, its URL and header.
func Hops(raw string, caller http.Header, locations []string) (urls []string, headers []http.Header, err error) {
	u, err := parseURL(raw)
	if err != nil {
		return nil, nil, err
	}
	t := trail{at: u}
	for {
		if t.loops("") {
			return urls, headers, nil
		}
		urls = append(urls, t.at.String())
		headers = append(headers, requestHeader(caller, t.crossed, "bytes=0-0"))
		if len(locations) == 0 {
			return urls, headers, nil
		}
		if t, err = t.follow(locations[:1], ""); err != nil {
			return urls, headers, err
		}
		locations = locations[1:]
	}
}
