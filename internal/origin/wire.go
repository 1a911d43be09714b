package origin

import ddmv1 "ddm/proto/ddm/v1"

// GenerationToProto gives the form of the wire.
func GenerationToProto(g Generation) *ddmv1.Generation {
	return &ddmv1.Generation{
		Size:          g.Size,
		Etag:          g.ETag,
		LastModified:  g.LastModified,
		ContentCoding: g.Coding,
	}
}

// GenerationFromProto reads the form of the wire; an absent one has an
// unknown size and no validator.
func GenerationFromProto(p *ddmv1.Generation) Generation {
	if p == nil {
		return Generation{Size: -1}
	}
	return Generation{
		Size:         max(p.GetSize(), -1),
		ETag:         p.GetEtag(),
		LastModified: p.GetLastModified(),
		Coding:       p.GetContentCoding(),
	}
}
